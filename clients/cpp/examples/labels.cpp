// A picture to what its model's task makes of it: labels URL MODEL PICTURE
#include <cstdio>
#include <exception>
#include <iostream>

#include <paddlesrv/client.hpp>

int main(int count, char** arguments) {
  if (count != 4) {
    std::cerr << "usage: labels URL MODEL PICTURE\n";
    return 2;
  }
  try {
    const paddlesrv::Client client(arguments[1]);
    const paddlesrv::Json result =
        client.predict(arguments[2], paddlesrv::Picture::read(arguments[3]));
    const paddlesrv::Json* classes = result.find("classes");
    if (classes == nullptr) {
      std::cout << result.dump() << '\n';
      return 0;
    }
    for (const paddlesrv::Json& found : classes->items()) {
      std::printf("%.4f  %s\n", found.at("score").as_double(),
                  found.at("label").as_string().c_str());
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
