"""From a sample to the request that a model sees: styles, marks, and the words of the text.

`request` has the one function that fixes it all; `styles` and `expressions` say what may be drawn,
`marks` draws it at random, `wording` names it in the text, `controls` mislead, `tags` describe it.
"""
