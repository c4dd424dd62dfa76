/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "snapshot/allocator_frames.h"

static bool is_hidden(const char *function) {
    return vv_is_allocator_frame(function, "/usr/bin/program");
}

TEST(the_malloc_family_and_known_wrappers_are_the_allocators) {
    CHECK(is_hidden("malloc"));
    CHECK(is_hidden("xmalloc"));
    CHECK(is_hidden("g_strdup"));
    CHECK(is_hidden("Perl_safesysmalloc"));
    CHECK(is_hidden("operator new(unsigned long)"));
    CHECK(is_hidden("os::malloc(unsigned long, MEMFLAGS)"));
    CHECK(!is_hidden("os::mallocate(int)"));
    CHECK(!is_hidden("mallocate"));
    CHECK(!is_hidden("my_malloc"));
    CHECK(!is_hidden("load"));
    CHECK(!is_hidden(""));
}

TEST(varves_own_frames_are_known_by_name_and_by_module) {
    CHECK(is_hidden("varve_list_append"));
    CHECK(vv_is_allocator_frame("anything", "/usr/lib/libvarve.so.0"));
    CHECK(!vv_is_allocator_frame("anything", "/usr/lib/libother.so"));
}

TEST(the_insides_of_the_cxx_library_are_with_and_without_a_return_type) {
    CHECK(is_hidden("std::vector<int, std::allocator<int> >::reserve(unsigned long)"));
    CHECK(is_hidden("void std::vector<a::B, std::allocator<a::B> >::_M_realloc_insert<a::B const&>("
                    "__gnu_cxx::__normal_iterator<a::B*, std::vector<a::B> >, a::B const&)"));
    CHECK(is_hidden("std::__new_allocator<char>::allocate(unsigned long, void const*)"));
    CHECK(is_hidden("std::shared_ptr<std::enable_if<!std::is_array<a::B>::value, a::B>::type> "
                    "std::make_shared<a::B, int&>(int&)"));
    CHECK(
        is_hidden("std::__shared_count<(__gnu_cxx::_Lock_policy)2>::__shared_count<a::B*>(a::B*)"));
    CHECK(is_hidden("std::function<void (int)>::function<load()::{lambda(int)#1}, void>(load()::"
                    "{lambda(int)#1}&&)"));
    CHECK(is_hidden("std::_MakeUniq<a::B>::__single_object std::make_unique<a::B>()"));
    CHECK(!is_hidden("std::_Function_handler<void (std::shared_ptr<a::B>), load()::{lambda(int)#1}>"
                     "::_M_invoke(std::_Any_data const&, std::shared_ptr<a::B>&&)"));
    CHECK(
        !is_hidden("std::thread::_State_impl<std::thread::_Invoker<std::tuple<void (*)(std::vector"
                   "<int, std::allocator<int> >), std::vector<int> > > >::_M_run()"));
    CHECK(!is_hidden("void std::__invoke_impl<void, void (*)(std::shared_ptr<a::B>)>(int)"));
    CHECK(!is_hidden("load(std::shared_ptr<a::B>)"));
    CHECK(!is_hidden("void load<std::allocator<int> >(int)"));
    CHECK(!is_hidden("std::vector<int, std::allocator<int> > make_vector<int>(int)"));
    CHECK(!is_hidden("load(std::allocator<int>)"));
    CHECK(!is_hidden("std::thread::_M_start_thread()"));
    CHECK(!is_hidden("(anonymous namespace)::load(std::allocator<int>)"));
}

TEST(the_insides_of_the_rust_library_are_in_both_manglings) {
    CHECK(is_hidden("alloc::alloc::alloc"));
    CHECK(is_hidden("__rustc::__rust_alloc"));
    CHECK(is_hidden("<alloc::alloc::Global as core::alloc::Allocator>::allocate"));
    CHECK(is_hidden("<alloc::raw_vec::RawVecInner<_>>::reserve::do_reserve_and_handle"));
    CHECK(is_hidden("<&mut alloc::string::String as core::fmt::Write>::write_fmt"));
    CHECK(is_hidden("hashbrown::raw::RawTable<T,A>::reserve_rehash"));
    CHECK(is_hidden("std::collections::hash::map::HashMap<K,V,S,A>::insert"));
    CHECK(is_hidden("<u64 as core::fmt::Display>::fmt"));
    CHECK(is_hidden("<T as alloc::string::ToString>::to_string"));
    CHECK(!is_hidden("<shop::Order as core::clone::Clone>::clone"));
    CHECK(!is_hidden("<T as shop::Store>::load"));
    CHECK(!is_hidden("shop::load"));
    CHECK(!is_hidden("core::ops::function::FnOnce::call_once")); /* has inlined what it calls */
    CHECK(!is_hidden("std::thread::builder::Builder::spawn"));
    CHECK(!is_hidden("<"));
}
