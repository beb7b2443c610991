"""What the examples share; nothing here is about PCCL."""
