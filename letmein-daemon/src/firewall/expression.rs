//! The few nftables expressions that the rules are made of.

use std::net::IpAddr;

use nftables::expr::{
    BinaryOperation, CT, CTDir, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Range,
};
use nftables::stmt::{Match, Operator, Statement};

use super::ports::PortRange;

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

/// The port that a connection was begun to, before its destination was translated. nft wants the protocol to be known
/// in the rule before it takes this for a port.
pub(super) fn asked_port() -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT {
        key: "proto-dst".into(),
        family: None,
        dir: Some(CTDir::Original),
    }))
}

pub(super) fn payload(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

/// `a . b . c`
pub(super) fn concat<const N: usize>(parts: [Expression<'static>; N]) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(parts.into()))
}

/// `value & mask`
pub(super) fn masked(value: Expression<'static>, mask: IpAddr) -> Expression<'static> {
    let mask = text(&mask.to_string());
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(value, mask)))
}

/// `value & mask`
pub(super) fn bits(value: Expression<'static>, mask: u8) -> Expression<'static> {
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(
        value,
        Expression::Number(mask.into()),
    )))
}

/// `22` or `60000-61000`
pub(super) fn port_numbers(ports: PortRange) -> Expression<'static> {
    let number = |port: u16| Expression::Number(port.into());
    if ports.is_range() {
        let range = [number(ports.first), number(ports.last)];
        Expression::Range(Box::new(Range { range }))
    } else {
        number(ports.first)
    }
}

/// An element of a set of `protocol . port`.
pub(super) fn ports_element(ports: PortRange) -> Expression<'static> {
    concat([text(ports.protocol.name()), port_numbers(ports)])
}

/// Whether a port is (one of) these.
pub(super) fn in_range(port: Expression<'static>, ports: PortRange) -> Statement<'static> {
    equals(port, port_numbers(ports))
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
