"""How names read: letters of other alphabets, of other widths, in domains; our table adds to Unicode's list only."""

from __future__ import annotations

import unicodedata

import pytest
from confusable_homoglyphs import confusables

from appgov_lib.lookalikes import disguised_word, name_skeleton, own_letters, readable_domain, unicode_letters


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Microsoft", "MICR\u039fSOFT"),  # Greek capital O
        ("Microsoft", "\u039cicrosoft"),  # Greek capital Mu is an M, the small one is none
        ("Microsoft", "rnicrosoft"),
        ("Microsoft", "M\u00efcr\u00f8 soft"),
        ("Microsoft", "\uff2d\uff49\uff43\uff52\uff4f\uff53\uff4f\uff46\uff54"),  # full width
        ("Microsoft", "\U0001d40c\U0001d422\U0001d41c\U0001d42b\U0001d428\U0001d42c\U0001d428\U0001d41f\U0001d42d"),
        ("Office", "Of\ufb01ce"),  # ligature
        ("Windows", "VVindows"),
        ("PayPal", "\u0420\u0430\u0443\u0420\u0430l"),  # Cyrillic
        ("Outlook", "0utl\u1d0f\u1d0fk"),
    ],
)
def test_names_that_read_alike_have_one_skeleton(one: str, other: str) -> None:
    assert name_skeleton(one) == name_skeleton(other)


def test_names_that_read_differently_do_not() -> None:
    names = [
        "Microsoft",
        "Microsift",
        "Mikrosoft",
        "\u041c\u0438\u043a\u0440\u043e\u0441\u043e\u0444\u0442",
        "\u5e94\u7528",
        "",
    ]
    assert len({name_skeleton(name) for name in names}) == len(names)


def test_a_skeleton_of_a_skeleton_is_itself() -> None:
    for name in ("Microsoft Teams", "Stra\u00dfe \u2122", "\u0420\u0430\u0443\u0420\u0430l", "arn rnrn vvv"):
        assert name_skeleton(name_skeleton(name)) == name_skeleton(name)


def test_every_letter_of_unicodes_list_is_read_as_it_says() -> None:
    """The package and the functions agree, letter by letter."""
    listed = unicode_letters()
    assert len(listed) > 1000
    for letter, plain in listed.items():
        if len(unicodedata.normalize("NFKD", letter)) == 1 and unicodedata.category(letter)[0] == "L":
            assert name_skeleton(letter) == name_skeleton(plain), letter
    assert {
        plain for letter in "\u0430\u0435\u043e\u0440\u0441\u0443\u0445" for plain in unicode_letters()[letter]
    } == {*"aeopcyx"}


def test_our_table_holds_only_what_unicodes_list_does_not() -> None:
    known = confusables.confusables_data
    for letter in own_letters():
        assert letter.isascii() or not [e for e in known.get(letter, []) if e["c"].isascii() and e["c"].isalnum()]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("the Micr\u043es\u043eft app", "Micr\u043es\u043eft"),
        ("\uff2dicrosoft", "\uff2dicrosoft"),
        ("p\u0430ypal-login", "p\u0430ypal"),
        ("Plain", ""),
        ("\u041c\u0422\u0421 CRM", ""),
        ("km\u00b2 \u00b5s Stra\u00dfe \u00ba \ufb01x", ""),
        ("", ""),
    ],
)
def test_words_of_mixed_letters(name: str, word: str) -> None:
    assert disguised_word(name) == word


@pytest.mark.parametrize(
    ("domain", "readable"),
    [
        ("XN--MLLER-KVA.de", "m\u00fcller.de"),
        ("login.xn--pypal-4ve.com", "login.p\u0430ypal.com"),
        ("xn--99999999999.com", "xn--99999999999.com"),  # no punycode
        ("xn--.com", ".com"),
        ("plain.example", "plain.example"),
        ("", ""),
    ],
)
def test_domains_are_shown_as_browsers_do(domain: str, readable: str) -> None:
    assert readable_domain(domain) == readable
