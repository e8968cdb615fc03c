"""The message NetParameter, which both files of a Caffe model are, without generated code.

Fields and numbers are those of BVLC/caffe, src/caffe/proto/caffe.proto, and of weiliu89's SSD branch of
it: only those that say which weights a network wants. All others are skipped.
"""

from typing import Any

# message of caffe.proto -> the fields that say which weights a network wants: name, number, type, default;
# a type with a star is repeated
MESSAGES = {
    "NetParameter": "name 1 string, layers 2 V1LayerParameter*, input 3 string*, input_dim 4 int32*, "
    "input_shape 8 BlobShape*, layer 100 LayerParameter*",
    "V1LayerParameter": "name 4 string",
    "LayerParameter": "name 1 string, type 2 string, bottom 3 string*, top 4 string*, blobs 7 BlobProto*, "
    "concat_param 104 ConcatParameter, convolution_param 106 ConvolutionParameter, "
    "inner_product_param 117 InnerProductParameter, prelu_param 131 PReLUParameter, "
    "scale_param 142 ScaleParameter, input_param 143 InputParameter, norm_param 206 NormalizeParameter",
    "BlobShape": "dim 1 int64*",
    "BlobProto": "num 1 int32, channels 2 int32, height 3 int32, width 4 int32, data 5 float*, shape 7 BlobShape, "
    "double_data 8 double*",
    "ConcatParameter": "axis 2 int32 1",
    "ConvolutionParameter": "num_output 1 uint32, bias_term 2 bool true, kernel_size 4 uint32*, group 5 uint32 1, "
    "kernel_h 11 uint32, kernel_w 12 uint32",
    "InnerProductParameter": "num_output 1 uint32, bias_term 2 bool true",
    "PReLUParameter": "channel_shared 2 bool false",
    "ScaleParameter": "bias_term 4 bool false",
    "InputParameter": "shape 1 BlobShape*",
    "NormalizeParameter": "channel_shared 3 bool true",
}


def new_network() -> Any:
    """Return an empty NetParameter."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for title, fields in MESSAGES.items():
        message = file.message_type.add(name=title)
        for field in fields.split(", "):
            name, number, kind, *default = field.split()
            plain = kind.removesuffix("*")
            repeated = plain != kind
            label = field_type.LABEL_REPEATED if repeated else field_type.LABEL_OPTIONAL
            entry = message.field.add(name=name, number=int(number), label=label)
            if plain in MESSAGES:
                entry.type, entry.type_name = field_type.TYPE_MESSAGE, f".caffe.{plain}"
                continue
            entry.type = getattr(field_type, f"TYPE_{plain.upper()}")
            if repeated and plain != "string":
                entry.options.packed = True
            if default:
                entry.default_value = default[0]
    pool = descriptor_pool.DescriptorPool()  # of its own: Caffe's generated code claims the same names
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))()
