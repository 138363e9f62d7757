"""Lightning modules of deep generative models, and the networks they are built from."""
