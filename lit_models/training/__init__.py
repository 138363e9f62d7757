"""What training is made of, whatever the model: noise, schedules, processes, files."""
