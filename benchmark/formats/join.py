"""How a response that quotes its task is joined to that task."""


def task_text_key(text: str) -> str:
    """The normal form of a task's text: line breaks as LF, no white space around it, all else to the character.

    The logs lost the space that one published task ends in; nothing else differs between them and the suite.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
