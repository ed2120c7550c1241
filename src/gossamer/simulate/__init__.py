"""What is done with a trained model: structures relaxed, vibrations, molecular dynamics."""
