import audit.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('channels', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('receipt', models.CharField(max_length=20)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('payer', models.CharField(max_length=128)),
                ('payer_name', models.CharField(blank=True, max_length=120)),
                ('amount', models.DecimalField(decimal_places=2, max_digits=14)),
                ('account_reference', models.CharField(blank=True, max_length=64)),
                ('routed_to', models.CharField(blank=True, max_length=64)),
                ('source', models.CharField(choices=[('CONFIRMATION', "M-PESA's confirmation"), ('STK', "the answer to a request on the customer's phone")], max_length=12)),
                ('paid_at', models.DateTimeField()),
                ('created_at', models.DateTimeField()),
                ('callback_id', models.UUIDField(null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='channels.mpesachannel')),
            ],
        ),
        migrations.CreateModel(
            name='PaymentRequest',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('phone_number', models.CharField(max_length=15)),
                ('amount', models.PositiveIntegerField()),
                ('account_reference', models.CharField(max_length=12)),
                ('transaction_desc', models.CharField(max_length=13)),
                ('status', models.CharField(choices=[('PENDING', 'waiting for the customer'), ('SUCCEEDED', 'paid'), ('FAILED', 'not paid; no money moved'), ('UNKNOWN', 'M-PESA has not told us what happened; do not ask again before checking')], default='PENDING', max_length=9)),
                ('sending_at', models.DateTimeField(null=True)),
                ('accepted_at', models.DateTimeField(null=True)),
                ('merchant_request_id', models.CharField(blank=True, max_length=80)),
                ('checkout_request_id', models.CharField(blank=True, max_length=80)),
                ('result_code', models.CharField(blank=True, max_length=20)),
                ('result_desc', models.CharField(blank=True, max_length=1024)),
                ('checks', models.PositiveSmallIntegerField(default=0)),
                ('requested_by', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='payment_requests', to='channels.mpesachannel')),
                ('payment', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='request', to='payments.payment')),
            ],
        ),
        migrations.CreateModel(
            name='DayTotal',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('date', models.DateField()),
                ('payment_count', models.PositiveIntegerField(default=0)),
                ('amount', models.DecimalField(decimal_places=2, default=0, max_digits=16)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='day_totals', to='channels.mpesachannel')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('channel', 'date'), name='day_total_once')],
            },
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['environment', '-paid_at', '-id'], name='payment_newest'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['environment', 'account_reference', '-paid_at'], name='payment_reference'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['receipt'], name='payment_receipt'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(fields=('channel', 'receipt'), name='payment_receipt_once'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='payment_amount_positive'),
        ),
        migrations.AddIndex(
            model_name='paymentrequest',
            index=models.Index(fields=['environment', '-id'], name='payment_request_newest'),
        ),
        migrations.AddConstraint(
            model_name='paymentrequest',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 1), ('amount__lte', 250000)), name='payment_request_amount'),
        ),
        migrations.AddConstraint(
            model_name='paymentrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('checkout_request_id', ''), _negated=True), fields=('checkout_request_id',), name='payment_request_checkout_once'),
        ),
    ]
