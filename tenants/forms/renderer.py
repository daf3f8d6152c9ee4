from django.forms.renderers import TemplatesSetting


class PageRenderer(TemplatesSetting):
    """`{{ form }}` is the error summary and every field; `{{ form.email.as_field_group }}` is one field."""

    form_template_name = "parts/form.html"
    field_template_name = "parts/field.html"
