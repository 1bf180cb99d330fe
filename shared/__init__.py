"""What more than one part of Counterdub needs: records, settings, engines, store, pipeline, audio and media helpers."""
