"""Which names are let through, what they become, and which two are one."""

import pytest

from accounts.errors import FieldRefused
from accounts.names import (
    canonical_identifier,
    canonical_text,
    parse_display_name,
    parse_email,
    parse_locale,
    parse_username,
    refuse_reserved,
)


@pytest.mark.parametrize(
    ("typed", "text", "canonical"),
    [
        ("ann", "ann", "ann"),
        ("  Ann.Smith_9-x ", "Ann.Smith_9-x", "ann.smith_9-x"),
        ("\uff21\uff4e\uff4e\uff11", "Ann1", "ann1"),
        ("Zo\u0065\u0308", "Zo\u00eb", "zo\u00eb"),
        ("STRASSE", "STRASSE", "strasse"),
        ("stra\u00dfe", "stra\u00dfe", "strasse"),
        ("\u0130stanbul", "\u0130stanbul", "i\u0307stanbul"),
        ("\u0418\u0432\u0430\u043d", "\u0418\u0432\u0430\u043d", "\u0438\u0432\u0430\u043d"),
        ("\u03a3\u03bf\u03c2", "\u03a3\u03bf\u03c2", "\u03c3\u03bf\u03c3"),
        ("\u7530\u4e2d\u3055\u3093", "\u7530\u4e2d\u3055\u3093", "\u7530\u4e2d\u3055\u3093"),
        ("\u30ab\u30fc\u30bf\u30fc", "\u30ab\u30fc\u30bf\u30fc", "\u30ab\u30fc\u30bf\u30fc"),
        ("\uae40\ubbfc\uc900", "\uae40\ubbfc\uc900", "\uae40\ubbfc\uc900"),
        ("\u092a\u094d\u0930\u093f", "\u092a\u094d\u0930\u093f", "\u092a\u094d\u0930\u093f"),
        ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f"),
        ("li_\u018f", "li_\u018f", "li_\u0259"),
        ("a" * 64, "a" * 64, "a" * 64),
        ("123", "123", "123"),
    ],
)  # fmt: skip
def test_a_username_of_one_script_is_kept_and_folded(typed: str, text: str, canonical: str) -> None:
    username = parse_username(typed)

    assert (username.text, username.canonical) == (text, canonical)
    assert canonical_text(canonical) == canonical


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "username_too_short"),
        ("ab", "username_too_short"),
        ("  ab  ", "username_too_short"),
        ("a" * 65, "username_too_long"),
        ("\ufdfa" * 10, "username_too_long"),
        ("a" * 60_000, "username_too_long"),
        ("a b", "username_characters"),
        ("ann@example.com", "username_characters"),
        ("ann\uff20example", "username_characters"),
        ("...", "username_characters"),
        ("-ann", "username_characters"),
        ("an\u200bn", "username_characters"),
        ("an\u200dn", "username_characters"),
        ("ann\u202e", "username_characters"),
        ("an\u00adn", "username_characters"),
        ("\u3164\u3164\u3164", "username_characters"),
        ("an\u0303\u0303\u0303x", "username_characters"),
        ("\u0301\u0301\u0301", "username_characters"),
        ("\u0251nn", "username_characters"),
        ("ann\x00", "username_characters"),
        ("ann\r\n.x", "username_characters"),
        ("ann\ud800", "username_characters"),
        ("\U0001f600\U0001f600\U0001f600", "username_characters"),
        ("<a href=x>", "username_characters"),
        ("{{7*7}}", "username_characters"),
        ("${jndi}", "username_characters"),
        ("\u0661\u0662\u0663", "username_characters"),
        ("\u0430nn", "username_mixed_scripts"),
        ("ann\u03b1", "username_mixed_scripts"),
        ("\u7530ann", "username_mixed_scripts"),
        ("\uae40\u3055\u3093", "username_mixed_scripts"),
    ],
)
def test_another_username_is_refused_by_a_code(typed: str, code: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        parse_username(typed)

    assert refused.value.code == code


@pytest.mark.parametrize("typed", ["admin", "ADMIN", "\uff41dmin", "Root", "support", "usercenter"])
def test_a_reserved_name_is_for_operators(typed: str) -> None:
    username = parse_username(typed)

    with pytest.raises(FieldRefused) as refused:
        refuse_reserved(username)

    assert refused.value.code == "username_reserved"


@pytest.mark.parametrize(
    ("typed", "text", "canonical"),
    [
        ("test@example.com", "test@example.com", "test@example.com"),
        (" Ann.Smith+tag@EXAMPLE.com ", "Ann.Smith+tag@example.com", "ann.smith+tag@example.com"),
        ("a@B\u00fccher.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("o'hara@example.com", "o'hara@example.com", "o'hara@example.com"),
        ("a@example.test", "a@example.test", "a@example.test"),
    ],
)
def test_an_address_keeps_its_local_part_and_folds_its_domain(typed: str, text: str, canonical: str) -> None:
    email = parse_email(typed)

    assert (email.text, email.canonical) == (text, canonical)


@pytest.mark.parametrize(
    "typed",
    ["", "ann", "@example.com", "ann@", "ann@localhost", "ann@example", "a@b@example.com", "a b@example.com",
     "a,b@example.com", '"a"@example.com', "a(b)@example.com", "a%0ab@example.com", "a!b@example.com",
     "Ann <ann@example.com>", "ann@[127.0.0.1]", "ann@127.0.0.1", "ann\r\n@example.com",
     "ann@example.com\r\nBcc: x@y.z", "ann@exam\u200bple.com", "\u0430nn@example.com", "ann..x@example.com",
     ".ann@example.com", "a" * 65 + "@example.com",
     "a@" + "b" * 250 + ".com", "a" * 60_000, "ann@example.com\x00", "ann@\ud800.com"],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(typed: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        parse_email(typed)

    assert refused.value.code == "invalid_email"


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("ANN", "ann"),
        ("\uff41\uff4e\uff4e", "ann"),
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann\uff20example.com", "ann@example.com"),
        ("ann@", None),
        ("", ""),
        ("x" * 60_000, None),
    ],
)
def test_an_identifier_is_looked_up_in_its_canonical_form(typed: str, canonical: str | None) -> None:
    assert canonical_identifier(typed) == canonical


@pytest.mark.parametrize(
    "typed", ["", " Zo\u00eb K. ", "\u7530\u4e2d \u3055\u3093", "Ann \U0001f469\u200d\U0001f4bb", "<b>", "a" * 100]
)
def test_a_display_name_is_trimmed_alone(typed: str) -> None:
    assert parse_display_name(typed) == typed.strip()


@pytest.mark.parametrize(
    "typed", ["a" * 101, "a\nb", "a\r\nBcc: b", "a\x00", "a\x1b[31m", "a\u202eb", "a\u2066b", "a\u2028b"]
)
def test_a_display_name_has_no_control_characters(typed: str) -> None:
    with pytest.raises(FieldRefused):
        parse_display_name(typed)


@pytest.mark.parametrize(
    ("typed", "fine"),
    [("en", True), ("zh-Hant-TW", True), ("", False), ("e", False), ("en_US", False), ("en-" * 12, False),
     ("../en", False), ("en\n", False)],
)  # fmt: skip
def test_a_locale_is_a_language_tag(typed: str, fine: bool) -> None:  # noqa: FBT001 - a table
    if fine:
        assert parse_locale(typed) == typed
        return
    with pytest.raises(FieldRefused):
        parse_locale(typed)


@pytest.mark.parametrize(
    "typed", ["x@fa\u00df.de", "X@STRASSE.DE", "x@stra\u00dfe.de", "x@\u03b2\u03cc\u03bb\u03bf\u03c2.com"]
)
def test_an_address_is_looked_for_under_the_domain_that_it_was_registered_with(typed: str) -> None:
    assert canonical_identifier(typed) == parse_email(typed).canonical
