"""Floor 5: the commands of `reserva`, one file each."""
