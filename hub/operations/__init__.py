"""Operations (operativos): planned inspection work, what ties it to the field, and what it did."""
