"""Parts that fail and processes that die, and a judge who knows what should have arrived.

`proxy` cuts a part off, `fleet` runs and kills processes, `writer` is their load, `ledger` judges what came of it.
"""
