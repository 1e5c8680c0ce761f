"""Programs that ask a model, made to be pasted: one for each language and kind of question.

`subject` finds out what a model is asked with, `address` where; `examples` makes up what to ask,
each language writes it down in its own way, and `snippet` puts it into a template of
`templates/snippets/`.
"""
