"""The rows of a business with very many payments, made by the database: each statement fills a table, or mends one.

They run in the order of `STATEMENTS` in the business's schema, with the values that `config.demo_payments` gives. What
they leave agrees with itself as if the services had written it: totals are sums, balances follow from entries.
"""

# A UUIDv7 of the given time: its milliseconds, then chance.
UUID7 = """
    CREATE OR REPLACE FUNCTION pg_temp.uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                   PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
               52, 1), 53, 1), 'hex')::uuid
    $$
"""
# Person number `who` is an enrolled member if the number is low; others come with a masked number.
_PAYMENTS = """
    INSERT INTO payments_payment (id, channel_id, receipt, environment, payer, payer_name, amount, account_reference,
                                  routed_to, source, paid_at, created_at, charge)
    SELECT pg_temp.uuid7(paid_at), (%(channels)s::uuid[])[channel],
           'D' || upper(lpad(to_hex(number * 2654435761 %% 68719476736), 9, '0')),
           %(environment)s,
           CASE WHEN who < %(members)s THEN '2547' || lpad(who::text, 8, '0')
                ELSE '2547 ***** ' || lpad((who %% 1000)::text, 3, '0') END,
           (%(first_names)s::text[])[1 + who %% cardinality(%(first_names)s::text[])]
               || CASE WHEN who %% 3 = 0
                       THEN ' ' || (%(last_names)s::text[])[1 + who %% cardinality(%(last_names)s::text[])] ELSE '' END,
           amount, reference,
           CASE WHEN channel = 1 AND reference LIKE 'VIP%%' THEN %(vip_code)s
                WHEN channel < 3 THEN %(soko_code)s ELSE '' END,
           'CONFIRMATION', paid_at, paid_at + interval '2 seconds',
           CASE WHEN channel > 1 THEN round(amount * 0.0055, 2) END
      FROM (SELECT number, who, channel,
                   CASE WHEN paid_at > %(now)s THEN paid_at - interval '7 days' ELSE paid_at END AS paid_at,
                   least(greatest(round(exp(5.5 + bell)::numeric, -1), 10), 250000) AS amount,
                   CASE WHEN channel > 1 THEN ''
                        WHEN kind < 0.12 THEN 'VIP' || lpad((who %% %(vips)s)::text, 3, '0')
                        WHEN kind < 0.55 THEN 'INV-' || number
                        WHEN kind < 0.8 THEN 'SHOP'
                        ELSE 'TABLE ' || (1 + who %% 30) END AS reference
              FROM (SELECT number,
                           floor(power(random(), 2) * %(people)s)::int AS who,
                           (%(channel_choice)s::int[])[1 + floor(random() * %(channel_count)s)::int] AS channel,
                           %(first_day)s::timestamptz
                               + interval '1 day' * (%(day_choice)s::int[])[1 + floor(random() * %(day_count)s)::int]
                               + interval '1 hour' * (%(hour_choice)s::int[])[1 + floor(random() * %(hour_count)s)::int]
                               + interval '1 hour' * random() AS paid_at,
                           (random() + random() + random() + random() - 2) * 1.6 AS bell,
                           random() AS kind
                      FROM generate_series(1, %(count)s::bigint) AS number
                    OFFSET 0) AS chance) AS made
     ORDER BY paid_at
"""
_MEMBERS = """
    INSERT INTO loyalty_member (id, program_id, environment, code, name, phone_number, phone_hash, consented_at,
                                consent_way, consent_note, points_balance, stamps, is_active, joined_at)
    SELECT pg_temp.uuid7(%(first_day)s::timestamptz), %(soko)s, %(environment)s, 'S' || lpad(who::text, 6, '0'),
           initcap((%(first_names)s::text[])[1 + who %% cardinality(%(first_names)s::text[])]),
           '2547' || lpad(who::text, 8, '0'),
           encode(sha256(('2547' || lpad(who::text, 8, '0'))::bytea), 'hex'), %(first_day)s,
           'TOLD', '', 0, 0, true, %(first_day)s
      FROM generate_series(0, %(members)s - 1) AS who
     UNION ALL
    SELECT pg_temp.uuid7(%(first_day)s::timestamptz), %(vip)s, %(environment)s, 'VIP' || lpad(who::text, 3, '0'),
           initcap((%(first_names)s::text[])[1 + who %% cardinality(%(first_names)s::text[])]),
           '', '', NULL, '', '', 0, 0, true, %(first_day)s
      FROM generate_series(0, %(vips)s - 1) AS who
"""
_OUTCOMES = """
    INSERT INTO loyalty_paymentoutcome (payment_id, status, program_id, member_id, points, gave_stamp, decided_at)
    SELECT payment.id,
           CASE WHEN program IS NULL THEN 'NO_PROGRAM' WHEN points = 0 THEN 'NOTHING'
                WHEN member.id IS NULL THEN 'WAITING' ELSE 'EARNED' END,
           program, CASE WHEN points > 0 THEN member.id END,
           CASE WHEN member.id IS NULL THEN 0 ELSE points END, false, payment.created_at + interval '1 second'
      FROM (SELECT *, CASE routed_to WHEN %(soko_code)s THEN %(soko)s::uuid WHEN %(vip_code)s THEN %(vip)s::uuid END
                       AS program,
                   floor(amount * CASE routed_to WHEN %(vip_code)s THEN 2 ELSE 1 END / 100)::bigint AS points
              FROM payments_payment) AS payment
      LEFT JOIN loyalty_member AS member
        ON member.program_id = program
       AND coalesce(nullif(member.phone_number, ''), member.code)
           = CASE routed_to WHEN %(soko_code)s THEN payer ELSE account_reference END
"""
_ENTRIES = """
    INSERT INTO loyalty_pointsentry (id, member_id, payment_id, points, balance_after, kind, note, created_at)
    SELECT pg_temp.uuid7(decided_at), member_id, payment_id, points,
           sum(points) OVER (PARTITION BY member_id ORDER BY decided_at, payment_id), 'EARN', '', decided_at
      FROM loyalty_paymentoutcome
     WHERE points > 0
     ORDER BY decided_at, payment_id
"""
_BALANCES = """
    UPDATE loyalty_member AS member
       SET points_balance = earned.points
      FROM (SELECT member_id, sum(points) AS points FROM loyalty_pointsentry GROUP BY member_id) AS earned
     WHERE member.id = earned.member_id
"""
# One payment in 500 was given back, of those that had earned nothing.
_REVERSALS = """
      WITH given_back AS (
           UPDATE payments_payment AS payment
              SET reversed_at = least(paid_at + interval '3 hours', %(now)s)
             FROM (SELECT payment_id
                     FROM loyalty_paymentoutcome
                    WHERE points = 0
                    ORDER BY random()
                    LIMIT %(count)s / 500) AS chosen
            WHERE payment.id = chosen.payment_id
        RETURNING payment.id, channel_id, environment, amount, paid_at, reversed_at),
           outcomes AS (
           UPDATE loyalty_paymentoutcome AS outcome
              SET status = 'REVERSED'
             FROM given_back
            WHERE outcome.payment_id = given_back.id)
    INSERT INTO payments_reversal (id, payment_id, channel_id, environment, amount, reason, requested_by, approved_by,
                                   approved_at, expires_at, completed_at, created_at, status, sending_at, accepted_at,
                                   conversation_id, checks, not_found, receipt, charge, result_code, result_desc,
                                   review, decided_by, note, finished_at)
    SELECT pg_temp.uuid7(paid_at), id, channel_id, environment, amount, 'Paid twice', 'Wambui Mwangi',
           'Otieno Odhiambo', reversed_at, reversed_at + interval '1 day', reversed_at, paid_at, 'SUCCEEDED',
           reversed_at, reversed_at, '', 0, 0, 'R' || upper(substr(md5(id::text), 1, 9)), 0, '0', '', '', '', '',
           reversed_at
      FROM given_back
     ORDER BY paid_at
"""
_DAY_TOTALS = """
    INSERT INTO payments_daytotal (id, channel_id, date, payment_count, amount, charges, reversed_count,
                                   reversed_amount)
    SELECT gen_random_uuid(), channel_id, (paid_at AT TIME ZONE 'Africa/Nairobi')::date, count(*), sum(amount),
           coalesce(sum(charge), 0), count(reversed_at), coalesce(sum(amount) FILTER (WHERE reversed_at IS NOT NULL), 0)
      FROM payments_payment
     GROUP BY channel_id, 3
"""
_HOUR_TOTALS = """
    INSERT INTO payments_hourtotal (id, channel_id, date, hour, routed_to, payment_count, amount, reversed_count,
                                    reversed_amount)
    SELECT gen_random_uuid(), channel_id, hour::date, extract(hour FROM hour), routed_to, count(*), sum(amount),
           count(reversed_at), coalesce(sum(amount) FILTER (WHERE reversed_at IS NOT NULL), 0)
      FROM (SELECT *, date_trunc('hour', paid_at AT TIME ZONE 'Africa/Nairobi') AS hour FROM payments_payment) AS paid
     GROUP BY channel_id, hour, routed_to
"""
_POINTS_TOTALS = """
    INSERT INTO loyalty_pointstotal (id, program_id, environment, date, earned, spent, corrected)
    SELECT gen_random_uuid(), program_id, environment, (created_at AT TIME ZONE 'Africa/Nairobi')::date, sum(points),
           0, 0
      FROM loyalty_pointsentry AS entry
      JOIN loyalty_member AS member ON member.id = member_id
     GROUP BY program_id, environment, 4
"""
# What the newest payments gave was said to their payers; of a hundred messages one was refused.
_MESSAGES = """
    INSERT INTO channels_smsmessage (id, dedup_key, phone_number, body, environment, status, provider,
                                     provider_message_id, error, attempts, due_at, created_at, sending_at, sent_at)
    SELECT pg_temp.uuid7(decided_at), 'points:' || payment_id, '2547' || lpad((number %% 100000000)::text, 8, '0'),
           'Soko: thank you. Your payment gave ' || points || ' points.', %(environment)s,
           CASE WHEN is_refused THEN 'FAILED' ELSE 'SENT' END, 'console', '',
           CASE WHEN is_refused THEN 'The provider does not know this number.' ELSE '' END,
           0, decided_at, decided_at, decided_at, CASE WHEN NOT is_refused THEN decided_at END
      FROM (SELECT payment_id, points, decided_at, row_number() OVER (ORDER BY decided_at) AS number,
                   random() < 0.01 AS is_refused
              FROM (SELECT * FROM loyalty_paymentoutcome ORDER BY payment_id DESC LIMIT %(messages)s) AS newest) AS told
     ORDER BY decided_at
"""
_BATCHES = """
    INSERT INTO payments_payoutbatch (id, reference, channel_id, environment, status, payout_count, total_amount,
                                      fee_estimate, flagged_count, created_by, approved_by, approved_at, released_by,
                                      released_at, expires_at, reason, finished_at, created_at)
    SELECT pg_temp.uuid7(made_at), 'Wages ' || number, (%(channels)s::uuid[])[1], %(environment)s, 'FINISHED',
           %(batch_size)s, 1500 * %(batch_size)s, 13 * %(batch_size)s, 0, 'Wambui Mwangi', 'Otieno Odhiambo', made_at,
           'Otieno Odhiambo', made_at, made_at + interval '1 day', '', made_at + interval '1 hour', made_at
      FROM (SELECT number, %(first_day)s::timestamptz + number * interval '3 days' AS made_at
              FROM generate_series(1, %(batches)s) AS number) AS made
     ORDER BY number
"""
_PAYOUTS = """
    INSERT INTO payments_payout (id, batch_id, row, channel_id, environment, kind, purpose, receiver, name, amount,
                                 account_reference, transaction_desc, warnings, fee_estimate, receiver_name,
                                 completed_at, created_at, status, sending_at, accepted_at, conversation_id, checks,
                                 not_found, receipt, charge, result_code, result_desc, review, decided_by, note,
                                 finished_at)
    SELECT pg_temp.uuid7(created_at), id, row, channel_id, environment, 'PHONE', 'SALARY',
           '2547' || lpad(row::text, 8, '0'), '', 1500, '', 'Wages', '[]', 13, '',
           CASE WHEN is_paid THEN released_at END, created_at, CASE WHEN is_paid THEN 'SUCCEEDED' ELSE 'FAILED' END,
           released_at, released_at, '', 0, 0,
           CASE WHEN is_paid THEN 'P' || upper(substr(md5(id::text || row), 1, 9)) ELSE '' END,
           CASE WHEN is_paid THEN 13 END, CASE WHEN is_paid THEN '0' ELSE '2040' END, '', '', '', '', released_at
      FROM (SELECT batch.*, row, random() < 0.98 AS is_paid
              FROM payments_payoutbatch AS batch, generate_series(1, %(batch_size)s) AS row) AS made
     ORDER BY created_at, row
"""
_PAYOUT_ENTRIES = """
    INSERT INTO payments_payoutentry (id, payout_id, kind, amount, created_at)
    SELECT pg_temp.uuid7(sending_at), payout.id, step.kind, amount, sending_at
      FROM payments_payout AS payout,
           LATERAL (VALUES ('RESERVE'), (CASE status WHEN 'SUCCEEDED' THEN 'POST' ELSE 'VOID' END)) AS step (kind)
"""
_REQUESTS = """
    INSERT INTO payments_paymentrequest (id, channel_id, environment, phone_number, amount, account_reference,
                                         transaction_desc, status, sending_at, accepted_at, merchant_request_id,
                                         checkout_request_id, result_code, result_desc, checks, requested_by,
                                         created_at, finished_at)
    SELECT pg_temp.uuid7(asked_at), (%(channels)s::uuid[])[1], %(environment)s, '2547' || lpad(number::text, 8, '0'),
           100 + number %% 900, 'SHOP', 'Payment', 'FAILED', asked_at, asked_at, '', 'ws_CO_' || number, '1032',
           'Request cancelled by user', 0, 'Wambui Mwangi', asked_at, asked_at + interval '1 minute'
      FROM (SELECT number, %(now)s::timestamptz - (%(requests)s + 1 - number) * interval '40 minutes' AS asked_at
              FROM generate_series(1, %(requests)s) AS number) AS made
     ORDER BY number
"""
# On every tenth day there is something that M-PESA does not list.
_RECONCILED = """
      WITH days AS (
    INSERT INTO payments_reconciliationday (id, channel_id, environment, date, status, sources, balance_proof,
                                            counted_at)
    SELECT gen_random_uuid(), channel_id, %(environment)s, date,
           CASE (date - '2020-01-01'::date) %% 10 WHEN 0 THEN 'DIFFERS' ELSE 'AGREES' END,
           jsonb_build_object('callbacks', jsonb_build_object('count', payment_count, 'amount', amount::text)), '{}',
           %(now)s
      FROM payments_daytotal
 RETURNING id, status)
    INSERT INTO payments_reconciliationitem (id, day_id, kind, subject, ours, sentence, found_at, settled_by, note)
    SELECT gen_random_uuid(), id, 'MISSING_THERE', 'D0000000' || number, 500,
           'We have this payment, and M-PESA does not list it.', %(now)s, '', ''
      FROM days, generate_series(10, 49) AS number
     WHERE status = 'DIFFERS'
"""
STATEMENTS = {
    "payments": _PAYMENTS,
    "members": _MEMBERS,
    "outcomes": _OUTCOMES,
    "points": _ENTRIES,
    "balances": _BALANCES,
    "reversals": _REVERSALS,
    "day totals": _DAY_TOTALS,
    "hour totals": _HOUR_TOTALS,
    "points totals": _POINTS_TOTALS,
    "messages": _MESSAGES,
    "batches of payouts": _BATCHES,
    "payouts": _PAYOUTS,
    "books of money out": _PAYOUT_ENTRIES,
    "requests": _REQUESTS,
    "reconciliation": _RECONCILED,
}
_OF_PAYMENTS = (
    "payments", "members", "outcomes", "points", "balances", "day totals", "hour totals", "points totals"
)  # fmt: skip
# What came in and what it earned, with nothing given back and nothing sent.
BOOKS_OF_PAYMENTS = {what: STATEMENTS[what] for what in _OF_PAYMENTS}
# PostgreSQL would join them blindly: nobody counts rows of a transaction that is still open.
COUNTED = {
    "payments": "payments_payment",
    "members": "loyalty_member",
    "outcomes": "loyalty_paymentoutcome",
    "points": "loyalty_pointsentry",
}
