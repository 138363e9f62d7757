"""Networks: torch.nn.Module only, no loss and no Lightning."""
