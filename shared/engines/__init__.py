"""What a model must offer to a stage, how engines are found, checked and given their memory."""
