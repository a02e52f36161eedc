"""What databases, programs and spreadsheets write where there is no value."""
# ruff: noqa: RUF001 - dashes of programs for texts

from __future__ import annotations

from typing import Final

NO_VALUE: Final = {
    *("NULL", "null", "Null", "(null)", "[null]", "\\N", "nan", "NaN", "NAN", "<NA>", "NaT"),
    *("None", "N/A", "n/a", "N/a", "undefined", "-", "--", "–", "—"),
}
SHEET_ERRORS: Final = {
    *("#N/A", "#N/A!", "#NV", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!"),
    *("#SPILL!", "#BEZUG!", "#WERT!", "#ERROR!", "#FIELD!", "#CALC!"),
}
