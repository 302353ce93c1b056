"""URLs of files, on a tenant's site."""

from django.urls import path

from apps.files.views import open_file, upload

urlpatterns = [
    path("upload/", upload, name="files_upload"),
    path("<uuid:number>/", open_file, name="files_file"),
    path("<uuid:number>/thumbnail/", open_file, {"thumbnail": True}, name="files_thumbnail"),
]
