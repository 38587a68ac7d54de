"""Floor 5: the console, pages for people who sign in with an API key.

It has no power of its own: its pages ask the services as the caller of the session, and their scripts the API. A page
is a module of routes, a template, its words in each language and, where it needs one, a module of JavaScript.
"""
