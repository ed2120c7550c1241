"""What a model looks at: functions of the positions, their gradients, and the way back to atoms."""
