"""What several tests share: data and models that are quick to train, stand-ins, checks."""
