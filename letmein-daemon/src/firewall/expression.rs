//! The few nftables expressions that the rules are made of.

use nftables::expr::{CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField};
use nftables::stmt::{Match, Operator, Statement};

use super::lease::Protocol;

pub(super) fn text(value: &str) -> Expression<'static> {
    Expression::String(value.to_owned().into())
}

pub(super) fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

pub(super) fn ct_state() -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT {
        key: "state".into(),
        family: None,
        dir: None,
    }))
}

pub(super) fn payload(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

/// `first . meta l4proto . th dport`
pub(super) fn port_key(mut first: Vec<Expression<'static>>) -> Expression<'static> {
    first.extend([meta(MetaKey::L4proto), payload("th", "dport")]);
    Expression::Named(NamedExpression::Concat(first))
}

pub(super) fn protected_element((protocol, port): (Protocol, u16)) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(vec![
        text(protocol.name()),
        Expression::Number(port.into()),
    ]))
}

pub(super) fn matches(
    left: Expression<'static>,
    op: Operator,
    right: Expression<'static>,
) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

pub(super) fn equals(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    matches(left, Operator::EQ, right)
}
