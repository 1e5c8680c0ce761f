// Tensors to tensors, over HTTP: tensors URL MODEL, for a model that takes rows of floats.
#include <exception>
#include <iostream>
#include <vector>

#include <paddlesrv/client.hpp>

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: tensors URL MODEL\n";
    return 2;
  }
  try {
    const paddlesrv::Client client(arguments[1]);
    const paddlesrv::ModelMetadata model = client.model(arguments[2]);
    const paddlesrv::TensorMetadata& input = model.inputs.at(0);
    const std::int64_t features = input.shape.at(1);
    const std::vector<float> ones(static_cast<std::size_t>(2 * features), 1.0f);

    const auto rows = paddlesrv::Tensor::of({2, features}, ones);
    const paddlesrv::InferResult result = client.infer(model.name, {{input.name, rows}});
    for (const paddlesrv::NamedTensor& output : result.outputs) {
      std::cout << output.name << " =";
      for (const float value : output.tensor.to_floats()) std::cout << ' ' << value;
      std::cout << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
