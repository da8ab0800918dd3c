"""Operations: the questions and moves of an operator, as functions that return values and print nothing."""
