"""The schemas of `/openapi.json`: the bodies that the routes take and answer."""

from __future__ import annotations

from typing import Any

_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string", "examples": ["FP32", "INT64"]},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "code": {"type": "string"},
            "hint": {"type": ["string", "null"]},
            "request_id": {"type": "string"},
        },
    },
    "PredictRequest": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "description": "base64"},
            "images": {"type": "array", "items": {"type": "string"}},
            "text": {"type": "string"},
            "texts": {"type": "array", "items": {"type": "string"}},
            "features": {"type": ["array", "object"]},
            "top": {"type": "integer", "minimum": 1},
            "threshold": {"type": "number"},
            "tokens": {"type": "boolean"},
        },
    },
    "PredictResponse": {
        "type": "object",
        "properties": {
            "schema": {"const": 1},
            "model": {"type": "string"},
            "task": {"type": "string"},
            "results": {"type": "array", "items": {"type": "object"}},
            "timing_ms": {
                "type": "object",
                "properties": {k: {"type": "number"} for k in ("queue", "compute", "total")},
            },
        },
    },
    "Tensor": _TENSOR,
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
            "outputs": {"type": "array", "items": {"type": "object"}},
        },
    },
    "InferResponse": {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "Change": {
        "type": "object",
        "properties": {"parameters": {"type": "object"}},
    },
    "Index": {
        "type": "object",
        "properties": {"ready": {"type": "boolean", "description": "only those that are ready"}},
    },
    "TensorFlowPredict": {
        "type": "object",
        "description": "by rows (instances) or by columns (inputs)",
        "properties": {
            "signature_name": {"const": "serving_default"},
            "instances": {"type": "array"},
            "inputs": {},
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "TensorFlowClassify": {
        "type": "object",
        "required": ["examples"],
        "properties": {
            "signature_name": {"const": "serving_default"},
            "examples": {"type": "array", "items": {"type": "object"}},
        },
    },
    "GeneralTensor": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "alias_name": {"type": "string"},
            "elem_type": {
                "type": "integer",
                "description": "0 INT64, 1 FP32, 2 INT32, 3 FP64, 4 INT16, 5 FP16, 6 BF16, "
                "7 UINT8, 8 INT8, 9 BOOL, 20 STRING",
            },
            "shape": {"type": "array", "items": {"type": "integer"}},
            "lod": {"type": "array", "items": {"type": "integer"}},
            "int64_data": {"type": "array", "items": {"type": ["integer", "string"]}},
            "float_data": {"type": "array", "items": {"type": ["number", "string", "null"]}},
            "int_data": {"type": "array", "items": {"type": "integer"}},
            "float64_data": {"type": "array", "items": {"type": ["number", "string", "null"]}},
            "bool_data": {"type": "array", "items": {"type": "boolean"}},
            "data": {"type": "array", "items": {"type": "string"}},
            "tensor_content": {"type": "string", "contentEncoding": "base64"},
        },
    },
    "GeneralRequest": {
        "type": "object",
        "properties": {
            "tensor": {"type": "array", "items": {"$ref": "#/components/schemas/GeneralTensor"}},
            "fetch_var_names": {"type": "array", "items": {"type": "string"}},
            "profile_server": {"type": "boolean"},
            "log_id": {"type": ["integer", "string"]},
        },
    },
    "GeneralResponse": {
        "type": "object",
        "properties": {
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "tensor": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/GeneralTensor"},
                        },
                        "engine_name": {"type": "string"},
                    },
                },
            },
            "profile_time": {"type": "array", "items": {"type": ["integer", "string"]}},
        },
    },
    "PipelineRequest": {
        "type": "object",
        "properties": {
            "key": {"type": "array", "items": {"type": "string"}},
            "value": {"type": "array", "items": {"type": "string"}},
            "tensors": {"type": "array", "items": {"type": "object"}},
        },
    },
    "PipelineResponse": {
        "type": "object",
        "properties": {
            "err_no": {"type": "integer"},
            "err_msg": {"type": "string"},
            "key": {"type": "array", "items": {"type": "string"}},
            "value": {"type": "array", "items": {"type": "string"}},
            "tensors": {"type": "array", "items": {"type": "object"}},
        },
    },
    "SamplesRequest": {
        "type": "object",
        "required": ["feed"],
        "properties": {
            "feed": {"type": "array", "items": {"type": "object"}},
            "fetch": {"type": "array", "items": {"type": "string"}},
        },
    },
    "SamplesResponse": {
        "type": "object",
        "properties": {"result": {"type": "object"}},
    },
}
"""What stands below `components.schemas`."""
