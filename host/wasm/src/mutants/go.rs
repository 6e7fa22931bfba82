//! What the compiler of Go writes into an author's function by itself: no case can notice a mutant of it.

use wasmparser::Operator;

/// Where a goroutine keeps the end of its stack, in bytes.
const STACK_GUARD: u64 = 16;

/// Whether the instruction at this place is such a one.
pub(super) fn is_theirs(operators: &[(Operator<'_>, usize)], at: usize) -> bool {
    let of =
        |place: Option<usize>| place.and_then(|place| operators.get(place)).map(|(operator, _)| operator);
    let before = |count: usize| of(at.checked_sub(count));
    let Some(operator) = of(Some(at)) else { return false };
    match operator {
        // Whether a call has unwound its goroutine; what an author asks becomes an `if`.
        Operator::BrIf { .. } => true,
        // Whether the stack is about to end.
        Operator::I32LeU => {
            matches!(before(1), Some(Operator::I32Load { memarg }) if memarg.offset == STACK_GUARD)
        }
        // The address of a variable, which are 64 bits until they are used.
        Operator::I64Add | Operator::I64Sub => {
            let is_used = matches!(of(at.checked_add(1)), Some(Operator::I32WrapI64));
            is_used || matches!(before(2), Some(Operator::I64ExtendI32U))
        }
        Operator::I64Eqz | Operator::I32Eqz => asks_the_collector(operators.get(..at).unwrap_or_default()),
        _ => false,
    }
}

/// Whether the garbage collector wants to hear of what is stored: a word at a fixed address, and comparisons of it.
fn asks_the_collector(before: &[(Operator<'_>, usize)]) -> bool {
    let mut rest = before.iter().rev().map(|(operator, _)| operator);
    let word = rest
        .find(|operator| !matches!(operator, Operator::I64Eqz | Operator::I32Eqz | Operator::I64ExtendI32U));
    matches!(word, Some(Operator::I64Load32U { memarg }) if memarg.offset == 0)
        && matches!(rest.next(), Some(Operator::I32WrapI64))
        && matches!(rest.next(), Some(Operator::I64Const { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which instructions of a function are the compiler's own.
    fn theirs(body: &str) -> Vec<usize> {
        let text = format!(
            "(module (memory 1) (global (mut i32) (i32.const 0)) (func (param i32 i64) (local i32) {body}))"
        );
        let module = wat::parse_str(text).unwrap();
        let bodies =
            wasmparser::Parser::new(0).parse_all(&module).filter_map(|payload| match payload.unwrap() {
                wasmparser::Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            });
        let readers = bodies.map(|body| body.get_operators_reader().unwrap().into_iter_with_offsets());
        let operators: Vec<_> = readers.flatten().map(Result::unwrap).collect();
        (0..operators.len()).filter(|at| is_theirs(&operators, *at)).collect()
    }

    #[test]
    fn what_go_writes_by_itself_is_told_from_what_an_author_asks() {
        let stack = "local.get 0 global.get 0 i32.load offset=16 i32.le_u if end";
        assert_eq!(theirs(stack), [3]);
        assert_eq!(theirs("block i32.const 0 br_if 0 end"), [2], "whether a call has unwound");
        let address = "local.get 0 i64.extend_i32_u i64.const 104 i64.add i32.wrap_i64 i32.load drop";
        assert_eq!(theirs(address), [3]);
        let barrier =
            "i64.const 1320272 i32.wrap_i64 i64.load32_u i64.eqz i64.extend_i32_u i64.eqz i32.eqz if end";
        assert_eq!(theirs(barrier), [3, 5, 6]);
        // A status of 200 to 299, and a pointer that is none.
        let asked = "i64.const 99 local.get 1 i64.const -200 i64.add i64.lt_u i32.eqz if end local.get 1 i64.eqz if end";
        assert_eq!(theirs(asked), [] as [usize; 0]);
        assert_eq!(
            theirs("local.get 0 i64.load32_u i64.eqz if end"),
            [] as [usize; 0],
            "a field of the author's"
        );
    }
}
