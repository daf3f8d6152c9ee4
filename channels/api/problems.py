"""`/api/v1/problems/`: what a person has to know of a channel."""

import django_filters
from django.db.models import Q, QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.models import Environment, Problem
from channels.problems import dismiss_problem, problems
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["problems"]
_PROBLEM_ID = OpenApiParameter("problem_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`prob_…`")
_STATES = {
    "open": Q(closed_at=None, dismissed_at=None),
    "dismissed": Q(closed_at=None, dismissed_at__isnull=False),
    "closed": Q(closed_at__isnull=False),
}


class ProblemOutput(serializers.ModelSerializer[Problem]):
    """`open`: somebody has to look. `dismissed`: a person knows. `closed`: it is well again."""

    id = PublicIdField("prob")
    channel_id = PublicIdField("ch")
    shortcode = serializers.CharField(source="channel.shortcode")
    environment = LowerCaseChoiceField(Environment)
    kind = LowerCaseChoiceField(Problem.Kind)
    state = serializers.ChoiceField(list(_STATES))

    class Meta:
        model = Problem
        fields = [
            "id", "channel_id", "shortcode", "environment", "kind", "subject", "state", "sentence", "do_now", "who",
            "opened_at", "seen_at", "dismissed_at", "dismissed_by", "closed_at",
        ]  # fmt: skip
        extra_kwargs = {
            "subject": {"help_text": "What of the channel: an account, a step of the doctor, a day."},
            "who": {"help_text": "Who has to act: `you`, `customer`, `safaricom`, `us` or `nobody`."},
            "seen_at": {"help_text": "When it was last found to be so."},
        }


class ProblemFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    kind = LowerCaseChoiceFilter(Problem.Kind, field_name="kind")
    state = django_filters.ChoiceFilter(choices=[(state, state) for state in _STATES], method="_in_state")

    def _in_state(self, queryset: QuerySet[Problem], name: str, value: str) -> QuerySet[Problem]:
        return queryset.filter(_STATES[value])


@extend_schema(tags=_TAG, summary="List problems", responses={200: ProblemOutput(many=True)} | refusals(400, 401, 403))
class ProblemList(ListAPIView[Problem]):
    """Problems of the channels of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = ProblemOutput
    filterset_class = ProblemFilters
    queryset = Problem.objects.none()

    def get_queryset(self) -> QuerySet[Problem]:
        return problems(actor=self.request.actor)  # type: ignore[attr-defined]


class ProblemDismiss(APIView):
    @extend_schema(
        tags=_TAG,
        summary="Put a problem out of sight until it was well once",
        parameters=[_PROBLEM_ID],
        request=None,
        responses={200: ProblemOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, problem_id: str) -> Response:
        problem = dismiss_problem(
            problem_id=id_in_url("prob", problem_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return Response(ProblemOutput(problem).data)


urlpatterns = [
    path("problems/", ProblemList.as_view()),
    path("problems/<str:problem_id>/dismiss/", ProblemDismiss.as_view()),
]
