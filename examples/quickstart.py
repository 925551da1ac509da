"""One prompt under two policies: who answered, what it cost, and why the other model did not.

python examples/quickstart.py
"""

from __future__ import annotations

from pathlib import Path

from router import Router

PROMPT = "Summarise this ticket in one sentence: the invoice of May was paid twice, please refund one of the payments."


def main() -> None:
    """Asks twice and prints the decisions."""
    with Router.from_toml(Path(__file__).with_suffix(".toml")) as router:
        for policy in ("default", "careful"):
            reply = router.complete(PROMPT, max_tokens=100, policy=policy, tags={"team": "support"})
            print(f"{policy}: {reply.model} answered for ${reply.cost_usd}, trace {reply.trace_id}")
            for dropped in reply.decision.slate.dropped:
                print(f"  not {dropped.name}: {dropped.reason} ({dropped.by})")


if __name__ == "__main__":
    main()
