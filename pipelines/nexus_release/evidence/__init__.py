"""What a person sees of a release: a page for each step, made from what the step was given and has found out.

Pages are values (`page.py`). `markdown.py` and `html.py` write them down, for an engine's UI and for a pull request.
"""
