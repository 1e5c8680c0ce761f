// Eight requests on one bRPC connection at once: brpc HOST PORT INPUT FEATURES
#include <exception>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include <paddlesrv/brpc_client.hpp>

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "usage: brpc HOST PORT INPUT FEATURES\n";
    return 2;
  }
  try {
    paddlesrv::BrpcClient client(arguments[1], static_cast<std::uint16_t>(std::stoi(arguments[2])));
    const std::int64_t features = std::stoll(arguments[4]);
    std::vector<std::future<paddlesrv::InferResult>> answers;
    for (int number = 0; number < 8; ++number) {
      const std::vector<float> row(static_cast<std::size_t>(features), static_cast<float>(number));
      paddlesrv::BrpcRequest request;
      request.inputs = {{arguments[3], paddlesrv::Tensor::of({1, features}, row)}};
      answers.push_back(client.infer_async(request));
    }
    for (auto& answer : answers) {
      std::cout << answer.get().outputs.at(0).tensor.to_floats().at(0) << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
