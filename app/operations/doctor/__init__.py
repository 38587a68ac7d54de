"""`reserva doctor`: what is examined, one module a group of checks, and what each check has seen.

A check is a function that yields observations. No check writes anything that stays.
"""
