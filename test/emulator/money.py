"""The arithmetic of one payment: conversion, fees, what is due and what was paid.

Exact decimals only. Must not change any state.
"""

from decimal import ROUND_HALF_UP, ROUND_UP, Decimal


def convert(amount, currency, asset, rates):
    """(crypto amount, pair, rate); pair and rate are None if nothing is converted."""
    if currency == asset.symbol:
        return amount, None, None
    rate = rates.get(asset.symbol, {}).get(currency, Decimal(1))
    return (amount / rate).quantize(asset.step, ROUND_UP), asset.symbol + currency, rate


def _percent(value, percent):
    return value * percent / 100


def payer_fee(project, asset, amount):
    """The payer's fee, added to the amount."""
    fixed = project.payer_fixed.get(asset.code, Decimal(0))
    percent = project.payer_percent.get(asset.code, Decimal(0))
    return (fixed + _percent(amount, percent)).quantize(asset.step, ROUND_HALF_UP)


def merchant_fee(project, asset, pay_amount):
    """The merchant's fee, subtracted from the amount."""
    fee = asset.merchant_fixed + _percent(pay_amount, project.merchant_percent)
    return fee.quantize(asset.step, ROUND_HALF_UP)


def pay_amount(project, asset, amount, currency):
    """What the payer must send for an amount in any currency."""
    converted = convert(amount, currency, asset, project.rates)[0]
    fee = payer_fee(project, asset, converted)
    return converted + fee if fee else converted


def estimates(project, amount, currency):
    """Payable code -> amount due in it."""
    return {code: pay_amount(project, asset, amount, currency) for code, asset in project.assets.items()}
