"""The one entrance for other people's text.

Names, places and comments are cleaned here once, to a fixed point, before
anything else sees them: ``clean(clean(x)) == clean(x)`` for every string,
broken ones included.  What is unassigned in the running Python's Unicode tables
counts as unprintable.  E-mail addresses become keyed hashes here.

Outputs still neutralise for themselves (`formula_safe`, `for_terminal`,
`has_header_risk`): what is harmless on paper may be an order elsewhere.
"""

from __future__ import annotations

from deliverybot.screen import addresses, names, outputs, texts

MARKS = texts.MARKS
clean = texts.clean
clean_block = texts.clean_block

shown_name = names.shown_name
sorting = names.sorting

Mailbox = addresses.Mailbox
normalise_email = addresses.normalise_email
mailbox = addresses.mailbox
domains = addresses.domains
masked = addresses.masked
key = addresses.key
keyed = addresses.keyed

has_private = outputs.has_private
without_private = outputs.without_private
formula_safe = outputs.formula_safe
for_terminal = outputs.for_terminal
unsaid = outputs.unsaid
has_header_risk = outputs.has_header_risk
