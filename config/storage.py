"""Static files in production: named by their content, and so are the modules that our modules import."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    support_js_module_import_aggregation = True
    # Only in modules of ours: those that libraries bring import by names that are no files.
    _js_module_import_aggregation_patterns = (
        "web/label/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
    )
