"""From a corpus folder to a model directory: corpus, recipe, evaluation, export."""
