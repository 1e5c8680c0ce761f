#include "general_model.hpp"

#include <array>
#include <limits>

#include "damage.hpp"
#include "open_inference.hpp"
#include "protobuf.hpp"

namespace paddlesrv::detail {

namespace {

// Fields of Tensor.
constexpr std::uint32_t int64_data = 1, float_data = 2, int_data = 3, float64_data = 4, bool_data = 6,
                        data = 9, elem_type = 10, shape_field = 11, lod_field = 12, name_field = 13,
                        alias_field = 14, tensor_content = 15;

/// How a type travels: its number there, and the field with the values.
struct Type {
  std::int32_t number;
  DataType type;
  std::uint32_t field;
};

constexpr std::array<Type, 10> types{{
    {0, DataType::int64, int64_data}, {1, DataType::float32, float_data},
    {2, DataType::int32, int_data}, {3, DataType::float64, float64_data},
    {4, DataType::int16, tensor_content}, {5, DataType::float16, tensor_content},
    {7, DataType::uint8, tensor_content}, {8, DataType::int8, tensor_content},
    {9, DataType::boolean, bool_data}, {20, DataType::bytes, data},
}};

const Type& type_of(const NamedTensor& named) {
  for (const Type& each : types) {
    if (each.type == named.tensor.datatype()) return each;
  }
  throw std::invalid_argument("tensor \"" + named.name + "\" is " +
                              std::string(name_of(named.tensor.datatype())) +
                              ", which bRPC's messages cannot carry; ask over HTTP");
}

/// Sides and offsets have 32 bits there.
std::vector<std::int64_t> narrow(const std::vector<std::int64_t>& numbers) {
  for (const std::int64_t each : numbers) {
    if (each > std::numeric_limits<std::int32_t>::max()) {
      throw std::invalid_argument(std::to_string(each) + " is more than bRPC's messages can carry");
    }
  }
  return numbers;
}

std::string encode_tensor(const NamedTensor& named) {
  const Tensor& tensor = named.tensor;
  const Type& type = type_of(named);
  ProtoWriter out;
  switch (type.type) {
    case DataType::int64: out.varints(type.field, tensor.values<std::int64_t>()); break;
    case DataType::int32: out.varints(type.field, tensor.values<std::int32_t>()); break;
    case DataType::boolean: out.varints(type.field, tensor.values<bool>()); break;
    case DataType::bytes:
      for (const std::string& each : tensor.strings()) out.item(type.field, each);
      break;
    default: out.bytes(type.field, tensor.raw());  // packed numbers of a fixed size lie so too
  }
  out.number(elem_type, static_cast<std::uint64_t>(type.number));
  out.varints(shape_field, narrow(tensor.shape()));
  out.varints(lod_field, narrow(tensor.lod()));
  out.bytes(name_field, named.name);
  out.bytes(alias_field, named.alias.empty() ? named.name : named.alias);
  return out.take();
}

/// A tensor while it is read.
struct Parts {
  std::int32_t type = 0;
  std::string name, alias;
  std::vector<std::int64_t> int64s;
  std::vector<std::int32_t> int32s;
  std::string floats, doubles, content;
  std::vector<bool> booleans;
  std::vector<std::string> strings;
  std::vector<std::int32_t> shape, lod;

  void take(const ProtoField& field) {
    switch (field.number) {
      case int64_data: append_varints(int64s, field); break;
      case float_data: append_fixed<float>(floats, field); break;
      case int_data: append_varints(int32s, field); break;
      case float64_data: append_fixed<double>(doubles, field); break;
      case bool_data: append_varints(booleans, field); break;
      case data: strings.emplace_back(field.bytes()); break;
      case elem_type: type = field.int32(); break;
      case shape_field: append_varints(shape, field); break;
      case lod_field: append_varints(lod, field); break;
      case name_field: name = field.text(); break;
      case alias_field: alias = field.text(); break;
      case tensor_content: content = field.bytes(); break;
      default: break;
    }
  }

  Tensor tensor() {
    for (const Type& each : types) {
      if (each.number != type) continue;
      Tensor::Shape sides(shape.begin(), shape.end());
      Tensor made = of_type(each, std::move(sides));
      if (lod.empty()) return made;
      return std::move(made).with_lod({lod.begin(), lod.end()});
    }
    throw Damage("an elem_type that is not known: " + std::to_string(type));
  }

 private:
  Tensor of_type(const Type& known, Tensor::Shape sides) {
    switch (known.type) {
      case DataType::int64: return Tensor::of(std::move(sides), int64s);
      case DataType::int32: return Tensor::of(std::move(sides), int32s);
      case DataType::float32: return Tensor::of_raw(known.type, std::move(sides), floats);
      case DataType::float64: return Tensor::of_raw(known.type, std::move(sides), doubles);
      case DataType::bytes: return Tensor::of_strings(std::move(sides), std::move(strings));
      case DataType::boolean: return Tensor::of(std::move(sides), booleans);
      default: return Tensor::of_raw(known.type, std::move(sides), content);
    }
  }
};

NamedTensor decode_tensor(std::string_view bytes) {
  Parts parts;
  ProtoReader reader(bytes);
  for (ProtoField field; reader.next(field);) parts.take(field);
  if (parts.name.empty() && parts.alias.empty()) throw Damage("a tensor without a name");
  try {
    Tensor tensor = parts.tensor();
    return {parts.name.empty() ? parts.alias : parts.name, std::move(tensor), parts.alias};
  } catch (const std::exception& error) {
    throw Damage("output \"" + parts.name + "\": " + error.what());
  }
}

}  // namespace

std::string encode_general(const BrpcRequest& request) {
  ProtoWriter out;
  for (const NamedTensor& each : request.inputs) out.item(1, encode_tensor(each));
  for (const std::string& name : request.outputs) out.item(2, name);
  out.number(4, request.log_id);
  return out.take();
}

std::vector<NamedTensor> decode_general(std::string_view bytes,
                                        const std::vector<std::string>& wanted) {
  std::vector<NamedTensor> found;
  ProtoReader reader(bytes);
  for (ProtoField field; reader.next(field);) {
    if (field.number != 1) continue;  // times of the server's
    ProtoReader output(field.bytes());
    for (ProtoField inner; output.next(inner);) {
      if (inner.number == 1) found.push_back(decode_tensor(inner.bytes()));
    }
  }
  check_outputs(found, wanted);
  return found;
}

}  // namespace paddlesrv::detail
