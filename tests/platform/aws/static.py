"""Answers that a test has said beforehand, of services whose insides nobody here plays: Cost Explorer, the price list."""

import json


def problem(wish):
    """What is wrong with answers that somebody wants, or nothing."""
    if not isinstance(wish, dict):
        return "static answers are an object, by target"
    for target, answers in wish.items():
        if not isinstance(answers, list):
            return f"{target}: its answers are a list"
        for one in answers:
            if not isinstance(one, dict) or not isinstance(one.get("answer"), dict) or set(one) - {"match", "answer"}:
                return f"{target}: {json.dumps(one)} is not an `answer`, with or without a `match`"
            if not isinstance(one.get("match", ""), str):
                return f"{target}: `match` is a part of the body"
    return None


class Static:
    """The answers, by target. Each is given as often as its call comes."""

    def __init__(self):
        self.answers = {}

    def set(self, wish):
        """Puts these in the place of all others."""
        self.answers = wish

    def answer(self, call):
        """The first answer whose `match` is in the call's body."""
        for one in self.answers.get(call.target, []):
            if one.get("match", "") in call.text:
                return json.dumps(one["answer"]).encode()
        return None
