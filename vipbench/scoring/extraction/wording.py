"""How English says which option it means: named patterns, each with why it is there.

All are bounded, so that a text is read in a time linear in its length.
"""

import re

NEGATION = re.compile(
    r"n't\b|\b(?:not|never|neither|nor|none|no answer|cannot|unable|impossible|incorrect|wrong"
    r"|unclear|without|rather than|instead of|(?:un|less )likely|excluded?|eliminated?"
    r"|reject(?:ed)?|ruled? out|would need|whether|either|fails?|lacks?)\b",
    re.IGNORECASE,
)
"""A sentence with one of these may say of its option that it is *not* the answer."""

REFUSAL = re.compile(
    r"\b(?:none of|(?:cannot|can't) (?:be |\w{1,20}ly )?(?:determin\w*|identif\w*|answer|provid\w*"
    r"|say|assist|confident\w*|select|make|give)"
    r"|unable to|(?:im|not )possible to"
    r"|difficult (?:for me )?to (?:\w+ )?(?:determine|say|tell|identify|provide|give|make)"
    r"|not enough information|no correct|not (?:be )?able to|insufficient|I'm sorry|I apologi[sz]e"
    r"|both .{0,30}are (?:correct|equally)|not visible|neither)\b",
    re.IGNORECASE,
)
"""The text says that it has no answer, or more than one."""

CUE = re.compile(
    # "the answer is", "my final choice would be", "Answer:", but not "each option is": the noun
    # has no letter of its own ("option B is too dark").
    r"(?<!this )(?<!each )(?<!that )\b(?:answer|choice|option|selection|assessment|conclusion|guess"
    r"|prediction|judge?ment|decision)\b(?!\s*[(\[\"']?[A-Z]\b)[^.\n]{0,60}?(?:\bis\b|\bare\b|\bbe\b"
    r"|:|=)"
    # "B seems to be the best choice"
    r"|\b(?:is|are|be|as|seems|appears)\b(?:(?!\bbut\b)[^.\n]){0,30}\b(?:correct|right|best|final"
    r"|accurate|appropriate)\s(?:\w{1,20}\s)?(?:answer|choice|option|selection)\b"
    # "I would choose", "we can say"
    r"|\b(?:I|we)(?:'d|'ll)?\s(?:\w{1,20}\s){0,2}(?:choose|select|pick|chose|go with|opt for|answer"
    r"|say)\b"
    # as in: B is the correct one
    r"|[A-Z][)\]\"']?\s(?:is|seems|appears|looks)\s(?:to be\s)?(?:the\s)?(?:\w{1,20}\s)?"
    r"(?:correct|right)\b"
    r"|\bfinal answer\b|\bmaking\b[^.\n]{0,40}\bcorrect\b",
    re.IGNORECASE,
)
"""What makes a sentence a statement of the answer."""

CONCLUSION = re.compile(
    r"\W{0,9}(?:therefore|thus|so|hence|in conclusion|overall|in summary|consequently|as a result"
    r"|based on|given|considering|ultimately|to conclude)\b",
    re.IGNORECASE,
)
"""What opens a sentence that concludes, which is a statement too."""

REVISION = re.compile(
    r"\W{0,9}(?:wait|actually|no,|sorry|correction|on second thought|hmm|hold on"
    r"|let me (?:re|correct))|\bI (?:was wrong|made a mistake|mean)\b",
    re.IGNORECASE,
)
"""What opens a sentence that takes back what was said."""
ALTERNATIVE = re.compile(
    r"\b(?:but|though|although|however|or)\b[^.;\n]{0,40}\b(?:could|might|may|possibly|also|perhaps)\b",
    re.IGNORECASE,
)
"""What goes on with another answer that is possible too."""

QUESTION = re.compile(
    r"\b(?:please|you (?:can|need|should|must|are)|following (?:choices|options|strateg)|let's"
    r"|which (?:one|of))\b|\?\s*$",
    re.IGNORECASE,
)
"""The text asks, or repeats what it was asked."""

_CONDITIONS = r"if|unless|assuming|supposing|in case|provided (?:that|it|there|the)"
CONDITION = re.compile(
    rf"\W{{0,9}}(?:{_CONDITIONS}|suppose|imagine|(?:were|had) (?:it|the|this|that|there|they))\b",
    re.IGNORECASE,
)
"""A sentence that opens so claims nothing."""
IF = re.compile(rf"\b(?:{_CONDITIONS}|would have been)\b", re.IGNORECASE)
"""A condition anywhere in a sentence, or what was the case under one."""
CONDITION_BEHIND = re.compile(rf"[\s,(]*(?:{_CONDITIONS})\b")
"""What an answer goes on with that holds on a condition: "(B), if it is dark"."""
SUPPOSED = re.compile(
    r"((?:^|(?<=[.!?\n]))\W{0,9}(?:if|suppose|supposing|assume|assuming|imagine)\b[^.!?\n]{0,200})"
    r"[.!]\s+(?=(?:then|in that case|in such a case)\b)",
    re.IGNORECASE,
)
"""A supposition in a sentence of its own, which the next one rests on."""
DENIED_ANNOUNCEMENT = re.compile(
    r"\b(?:incorrect|wrong)\s(?:answer|option|choice)\b[^,;.]{0,20}$", re.IGNORECASE
)
"""The end of a line behind which stands what the answer is not."""
GRANTED = re.compile(
    r"\bif\s(?:I|we)?\s?(?:had|have|must|were|was|am|are)?\s?(?:to|forced|pressed)\b|\bif forced\b"
    r"|\b(?:I|we) (?:had|have|must|need) (?:to )?(?:choose|pick|select)\b"
    r"|\bif (?:I|we|you) (?!had|were|could|choose|pick|select)",
    re.IGNORECASE,
)
"""A condition that the question or the text itself meets: "if I had to choose", "if we look"."""

SUBORDINATE = re.compile(
    r"\b(?:than|whereas|while|compared to|unlike|because|since|although|though|despite"
    r"|as opposed to|but)\b|,\s(?:as|and not|not)\b"
    # "(C), which is turned by 90°", but not "that of (C), which is option (A)", and not "(C), which
    # corresponds to it"
    r"|,\swhich\b(?!\s(?:is|would be)\s(?:\w+\s)?[(\[]?[A-Z]\b|\s(?:corresponds|matches))",
    re.IGNORECASE,
)
"""What stands behind one of these is a reason or a contrast, not the claim."""
CONTRAST = re.compile(
    r"(?:,?\s(?:rather than|instead of|and not|as opposed to)|,\snot)\b[^,.;:\n]*", re.IGNORECASE
)
"""What the answer is said not to be: ", not (A)"."""

STRONGEST = re.compile(
    r"\b(?:most|more|best|better|closest|closer|nearer|darker|lighter|shares the same|matches"
    r"|corresponds|follows the same|is the (?:one|missing|corresponding|matching|same))\b",
    re.IGNORECASE,
)
"""How an option is told from the others without a word for "answer"."""
WEAK = re.compile(r"\b(?:option|also|both|slightly|less)\b", re.IGNORECASE)
"""A comparison with one of these does not tell one option from all others."""
LEAD = re.compile(
    r"(?:(?:therefore|thus|so|hence|based on [^,]*|in this case|in the second image|overall|however"
    r"|considering [^,]*|after [^,]*|given [^,]*|if I [^,]*)(?:,\s|\s)"
    r"|it (?:is possible|is likely|appears|seems|is clear|is evident) (?:that )?)+",
    re.IGNORECASE,
)
"""What may stand before the subject of a claim."""
PREDICATE = re.compile(
    r"\s?(?:[(\[][^)\]]{0,60}[)\]]\s?)?,?\s?(?:is|are|appears?|seems?|looks?|would|may|might|could|has|shares?|more"
    r"|best|better|most|matches|corresponds|fits|follows|does)\b",
    re.IGNORECASE,
)
"""What follows the subject of a claim."""

PREFERENCE = re.compile(
    r"\b(?:(?:more|most|best) (?:appropriate|suitable|suited|similar|likely|fitting)"
    r"|(?:best|better) (?:fit|match|choice|suited|candidate|option))\b",
    re.IGNORECASE,
)
"""A claim whose option need not be the subject: "it is more appropriate to place X there"."""

ANNOUNCEMENT = re.compile(
    r"\b(?:is|are|be|would be|answer|choice|select|choose|pick|say)\W{0,3}:?$", re.IGNORECASE
)
"""The end of a line that the next line completes."""

FOREIGN_DENIAL = re.compile(
    "\u4e0d|\u6ca1|\u6c92|\u975e|\u9664|\u9519|\u932f|\u8bef|\u8aa4|"  # not, except, wrong
    "\u5982\u679c|\u8981\u662f|\u5047\u5982|\u8fd8\u662f|\u9084\u662f|\u6216|"  # if, or
    "\u306a\u3044|\u307e\u305b\u3093|\u306a\u304f|\u9055|\u3082\u3057|"  # not, wrong, if
    "\uc544\ub2c8|\uc54a|\ud2c0|\ubabb|\uc5c6|\ub9cc\uc57d|\ub610\ub294"  # not, wrong, if, or
)
"""What denies, supposes or offers in Chinese, Japanese or Korean: to what is not known."""

DENIAL = re.compile(
    r"\b(?:not (?:be )?(?:correct|right|match|the|a|an|answer)|incorrect|wrong|exclude|eliminate"
    r"|reject|rule out|neither|none|unlikely|least|can't|cannot)",
    re.IGNORECASE,
)
"""What is announced is what the answer is not."""

IDENTITY = re.compile(
    r"(?:\b(?:is|are|to|would be|be)|:)\s(?:the\s)?(?:\w{1,20}\s){0,2}[(\[\"']*"
    r"(?:[A-Z]\b|the\s|\w+)[^.]{0,25}\.?$"
)
"""A sentence that ends with what something is."""
