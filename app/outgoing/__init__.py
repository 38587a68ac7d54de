"""Beside the floors: messages to other people's servers, signed, bounded in time, and to permitted addresses alone."""
