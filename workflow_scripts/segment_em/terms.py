"""Names that the rules, the jobs and the files' paths and columns share."""

SPLITS = ("train", "segments", "test")  # of the records: data.<split>, index/<data>/<split>
STAGES = ("pretrained", "finetuned")  # of a model: <run>/<stage>.safetensors
PARTS = ("test", "validation")  # rated videos that scorers are judged on: <run>/<part>.json
