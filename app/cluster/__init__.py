"""Floor 3: the processes of a deployment: who runs, who has died, and what all of them must agree on."""
