"""Looks at the machine, at the checkout and at what runs, and says of each what is wrong and how it is mended.

It changes nothing. Closed: what is named and does not answer, or says what cannot be understood, is a fault. What
nobody has named is not here, and no fault.
"""
