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

// The CPU must not be sent to what may be memory of a GPU.
TEST(Place, IsNotTheHostForADriverThatNoLongerTells) {
  const std::vector<char> somewhere(100);
  pccl_test::LoadedDriver driver;
  for (const int error : {700, 719}) {  // an illegal address, a launch that has failed
    driver.fail(error);
    EXPECT_EQ(place_of(somewhere.data()), Place::cuda);
  }
  for (const int error : {1, 3, 4, 201}) {  // no such memory, no driver, no driver any more, no GPU
    driver.fail(error);
    EXPECT_EQ(place_of(somewhere.data()), Place::host);
  }
  driver.fail(0);
}

}  // namespace
}  // namespace pccl::device
