// Where bytes live, by what a driver says that is a stand-in.
#include "device/place.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "loaded_driver.hpp"

namespace pccl::device {
namespace {

Place place_of(const void* at) {
  return driver_location_of(at).place;
}

TEST(Place, IsTheHostWithoutADriver) {
  const int here = 0;
  EXPECT_EQ(place_of(&here), Place::host);
  EXPECT_EQ(place_of(nullptr), Place::host);
  EXPECT_EQ(place_of(reinterpret_cast<const void*>(0x7f00'0000'0000)), Place::host);
}

TEST(Place, IsWhatALaterDriverSays) {
  const std::vector<char> gpu(100), managed(100), pinned(100), plain(100);
  EXPECT_EQ(place_of(gpu.data()), Place::host);
  pccl_test::LoadedDriver driver;
  driver.gpu_memory(gpu.data(), gpu.size());
  driver.managed(managed.data(), managed.size());
  driver.pinned(pinned.data(), pinned.size());
  EXPECT_EQ(place_of(gpu.data()), Place::cuda);
  EXPECT_EQ(place_of(&gpu.back()), Place::cuda);
  EXPECT_EQ(place_of(managed.data()), Place::managed);
  EXPECT_EQ(place_of(pinned.data()), Place::host);
  EXPECT_EQ(place_of(plain.data()), Place::host);
}

}  // namespace
}  // namespace pccl::device
