"""What scripts/wrap-markdown changes, and what it leaves alone. `python3 scripts/lib/wrap_markdown_test.py` runs it."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SCRIPT = Path(__file__).resolve().parent.parent / "wrap-markdown"
LOADER = importlib.machinery.SourceFileLoader("wrap_markdown", str(SCRIPT))
MODULE = importlib.util.module_from_spec(importlib.util.spec_from_loader("wrap_markdown", LOADER))
LOADER.exec_module(MODULE)


def wrapped(text, width=20):
    return "\n".join(MODULE.wrap(text.split("\n"), width))


class Wraps(unittest.TestCase):
    def stays(self, text):
        self.assertEqual(wrapped(text), text)

    def test_paragraphs_are_filled(self):
        self.assertEqual(wrapped("one two three four five six\nseven"), "one two three four\nfive six seven")

    def test_items_hang_below_their_text(self):
        self.assertEqual(wrapped("- one two three four five"), "- one two three four\n  five")
        self.assertEqual(wrapped("10. one two three four"), "10. one two three\n    four")

    def test_nested_items_keep_their_depth(self):
        self.assertEqual(wrapped("- one\n  - two three four five"), "- one\n  - two three four\n    five")

    def test_other_blocks_stay(self):
        long = "a b c d e f g h i j k l m n o p"
        for text in [
            f"# {long}",
            f"```\n{long}\n```",
            f"    {long}",
            f"| a | b |\n|---|---|\n| {long} | c |",
            f"> {long}",
            f"<p>\n{long}\n</p>",
            f"<!-- {long} -->",
            f"[a]: http://x/ '{long}'",
            f"{long}\n=====",
            f"- a\n\n      {long}",
        ]:
            self.stays(text)

    def test_no_line_begins_another_block(self):
        # The word before the one that would open a block goes with it.
        for word in ["-", "+", "*", "7.", "3)", "#", "##", ">", "|", "---", "==", "<b>", "```", "~~~", "[a]:"]:
            text = wrapped(f"aaaaaaaaaaaaa bbbbb {word} cc dd")
            self.assertEqual(text.split("\n")[1].split(" ")[:2], ["bbbbb", word], text)

    def test_code_spans_stay_whole_and_keep_their_blanks(self):
        self.assertEqual(wrapped("one two three `four five  six` seven"), "one two three\n`four five  six`\nseven")

    def test_hard_breaks_stay(self):
        self.stays("one two  \nthree")
        self.stays("one two\\\nthree")

    def test_no_backslash_comes_to_a_lines_end(self):
        self.assertEqual(wrapped("one two three four\\ five"), "one two three\nfour\\ five")

    def test_long_words_stay_whole(self):
        self.stays("https://example.org/a/long/address")

    def test_lines_that_hang_out_of_an_item_stay(self):
        self.stays("- one two three four five\nsix")

    def test_long_lines_are_reported_outside_code_tables_and_addresses(self):
        long = "word " * 30
        page = ["# " + long, "", long, "", "```", long, "```", "", "| a |", "|---|", f"| {long} |", "", "- " + long]
        page += ["", "https://example.org/" + "a" * 100]
        self.assertEqual(list(MODULE.long_lines(page)), [1, 3, 13])


if __name__ == "__main__":
    unittest.main()
